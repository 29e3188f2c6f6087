"""Memory that is free: the least of machine, control groups and limits of the process."""

import resource

import pytest
import torch

from segexp.training.free_memory import free_memory, of_groups
from tests.conftest import python


def test_it_is_part_of_the_memory_of_the_machine():
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 2**20 < free_memory() <= total
    assert free_memory(torch.device("cpu")) <= total


def group(folder, limit, used, cached, names=("memory.max", "memory.current", "inactive_file")):
    folder.mkdir(parents=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


def test_groups_count_with_their_parents_less_what_is_used_but_for_files_that_were_read(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    group(root / "job", 1000, 700, 200)
    group(root / "job" / "step", "max", 700, 200)
    own.write_text("0::/job/step\n")
    assert list(of_groups(root, own)) == [500]
    own.write_text("0::/elsewhere/on/the/host\n")  # as a container may see it, whose group is the root
    (root / "memory.max").write_text("300")
    (root / "memory.current").write_text("100")
    (root / "memory.stat").write_text("inactive_file 0")
    assert list(of_groups(root, own)) == [200]


def test_groups_of_the_first_version(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    group(
        root / "memory" / "job",
        900,
        500,
        100,
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    own.write_text("4:cpu,cpuacct:/job\n7:memory:/job\n")
    assert list(of_groups(root, own)) == [500]
    assert list(of_groups(root, tmp_path / "none")) == []


@pytest.mark.slow
def test_a_limit_of_the_process_counts(tmp_path):
    script = (
        "import resource, torch\n"
        "from segexp.training.free_memory import free_memory\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))\n"
        "print(free_memory())\n"
    )
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert 2**26 < int(python(tmp_path, "-c", script).stdout) <= 2**27
