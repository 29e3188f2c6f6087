from segexp.crc import crc_of, crc_of_file, crc_of_plain

CHECK = "cbf43926"  # of the digits 1 to 9, in every description of CRC-32


def test_the_check_value_comes_out_of_bytes_and_files(tmp_path):
    (tmp_path / "a").write_bytes(b"123456789")
    assert crc_of(b"123456789") == crc_of_file(tmp_path / "a") == CHECK
    assert crc_of(b"") == "00000000"


def test_a_file_of_several_pieces_is_one_sum(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert crc_of_file(tmp_path / "a") == crc_of(content)


def test_the_order_of_keys_does_not_matter():
    assert crc_of_plain({"a": 1, "b": [2, None]}) == crc_of_plain({"b": [2, None], "a": 1})
    assert crc_of_plain({"a": 1}) != crc_of_plain({"a": 2})
