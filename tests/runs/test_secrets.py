import pytest

from segexp.runs.secrets import MASK, masked

TOKENS = [
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "glpat-" + "a1B2" * 5,
    "hf_" + "a1B2" * 8,
    "sk-proj-" + "a1B2" * 9,
    "xoxb-1234567890-abc",
    "AKIA" + "A1B2" * 4,
    "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----",
]


@pytest.mark.parametrize("token", TOKENS)
def test_tokens_are_masked_wherever_they_stand(token):
    record = {"git": {"diff": f"+key = {token}\n+more"}, "command": ["train", f"+x={token}"]}
    shown = str(masked(record))
    assert token not in shown
    assert shown.count(MASK) == 2
    assert "+more" in shown


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "MY_SECRET", "DB_PASSWORD", "HF_TOKEN", "mlflow_tracking_password"])
def test_secrets_of_the_environment_are_masked_as_values_and_within_text(monkeypatch, name):
    monkeypatch.setenv(name, "hunter-2-hunter")
    assert masked(["x=hunter-2-hunter", {"a": ("hunter-2-hunter",)}]) == [f"x={MASK}", {"a": [MASK]}]


def test_short_values_and_other_variables_mask_nothing(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "1")
    monkeypatch.setenv("SEGEXP_DATA_DIR", "a/long/folder")
    record = {"data": "a/long/folder", "seed": 1, "rate": 0.1, "none": None, "on": True}
    assert masked(record) == record


def test_credentials_in_urls_and_assignments_are_masked():
    for text, hidden in (
        ("https://me:s3cr3t-word@host.org/x.git", "s3cr3t-word"),
        ("+    password = 'correct horse'", "correct horse"),
        ('-  "api_key": "0123456789abcdef"', "0123456789abcdef"),
        ("+export HF_TOKEN=0123456789", "0123456789"),
        ("+SOME_SECRET=abcdefgh", "abcdefgh"),
    ):
        assert hidden not in masked(text)
        assert MASK in masked(text)
    assert masked({"logger": {"api_key": "a"}}) == {"logger": {"api_key": MASK}}


def test_plain_words_of_a_configuration_stay():
    plain = {
        "command": [
            "train",
            "model=unet",
            "data.source.root=/data/https://host/x",
            "loss={_target_: segexp.losses.Dice}",
        ],
        "diff": "+    token = tokens[0]\n+    return password_of(name)\n+ssh://git@host/x.git",
    }
    assert masked(plain) == plain
