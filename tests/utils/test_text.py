"""Lists and tables as text."""

from smix_mm.utils.text import first_few, markdown_table


def test_a_list_is_shown_whole_or_cut_off_with_the_number_of_the_rest():
    assert first_few("abc", 3) == "a, b, c"
    assert first_few("abcde", 3) == "a, b, c and 2 more"
    assert first_few([1, 2, 3], 1, "; ") == "1 and 2 more"
    assert first_few([], 3) == ""


def test_a_table_aligns_its_columns_and_repeats_the_last_alignment():
    table = markdown_table(["arm", "top-1", "n"], [["CutMix", 1.5, 3]], "lr")
    assert table == "| arm | top-1 | n |\n| --- | ---: | ---: |\n| CutMix | 1.5 | 3 |"
    assert markdown_table(["a", "b"], []) == "| a | b |\n| --- | --- |"
    assert markdown_table(["a"], [["cat | dog"]]).endswith(r"| cat \| dog |")
