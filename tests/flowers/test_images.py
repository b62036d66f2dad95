from dataclasses import replace

import numpy as np
import pytest

from photos import make_photos
from repro.errors import UserError
from repro.flowers.images import class_indices, hash_of_images, read_images, read_split


def test_files_are_relative_to_the_table(tmp_path):
    images = make_photos(tmp_path / "photos", 3)
    assert [image.id for image in images] == [1, 2, 3]
    assert all(image.file.is_file() for image in images)


def test_an_id_that_stands_twice_is_refused(tmp_path):
    make_photos(tmp_path, 2)
    table = tmp_path / "images.csv"
    table.write_text(table.read_text().replace("\n2,", "\n1,"))
    with pytest.raises(UserError, match="some id stands in it twice"):
        read_images(table)


@pytest.mark.parametrize("text", ["", "id,label\n1,2\n", "id,file,label,sha256\n"])
def test_a_table_without_rows_or_columns_is_refused(tmp_path, text):
    table = tmp_path / "images.csv"
    table.write_text(text)
    with pytest.raises(UserError, match=r"images\.csv: has no rows, or no column"):
        read_images(table)


@pytest.mark.fault("labels and splits", "a table of images with a damaged row", "named")
@pytest.mark.parametrize("row", ["x,a.jpg,1,0", "1,a.jpg,one,0", "1", "1,a.jpg,1,\udcff"])
def test_a_damaged_row_is_named(tmp_path, row):
    text = f"id,file,label,sha256\n{row}\n"
    (tmp_path / "images.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"images\.csv: .*delete it and run again"):
        read_images(tmp_path / "images.csv")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.csv: there is no such file; run again"):
        read_split(tmp_path / "absent.csv")


def test_a_split_keeps_the_order_of_its_rows(tmp_path):
    table = tmp_path / "split.csv"
    table.write_text("id,label,split\n5,1,test\n3,1,train\n9,1,train\n4,2,validation\n")
    assert read_split(table) == {"train": [3, 9], "validation": [4], "test": [5]}


def test_an_unknown_set_is_refused(tmp_path):
    table = tmp_path / "split.csv"
    table.write_text("id,label,split\n5,1,valid\n")
    with pytest.raises(
        UserError, match="a set is called 'valid', not one of train, validation, test"
    ):
        read_split(table)


def test_class_indices_follow_the_numbers_not_the_text():
    indices, classes = class_indices([10, 2, 1, 10, 100])
    np.testing.assert_array_equal(classes, [1, 2, 10, 100])
    np.testing.assert_array_equal(indices, [2, 1, 0, 2, 3])


def test_the_hash_of_images_sees_ids_hashes_and_order(tmp_path):
    images = make_photos(tmp_path / "a", 3)
    same = make_photos(tmp_path / "b", 3)
    other = make_photos(tmp_path / "c", 3, seed=1)
    swapped = [replace(images[0], id=2), replace(images[1], id=1), images[2]]
    assert hash_of_images(images) == hash_of_images(same)
    all_differ = (images, images[::-1], images[:2], swapped, other)
    assert len({hash_of_images(each) for each in all_differ}) == 5
