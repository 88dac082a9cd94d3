"""The papers' numbers, with their flags."""

from __future__ import annotations

import pytest

from drs.errors import UsageError
from drs.study.claims import get_claim
from drs.study.published import Quote, published


def test_published_numbers_keep_their_flag() -> None:
    found = published("rce_table2_auc", dataset="mnist", attack="fgsm")
    assert list(found["k_density"]) == [98.8, 99.4]
    assert list(found["checked"]) == ["no", "no"]
    with pytest.raises(UsageError, match=r"^no published table 'nothing': expected a file nothing\.csv"):
        published("nothing")


def test_a_quote_is_the_cell_of_the_table_with_its_flag() -> None:
    clean = Quote("rce_table1_error", "error_percent", {"model": "resnet32", "objective": "rce", "dataset": "mnist"})
    assert clean.text() == "0.29 (not checked)"
    ratio = {"objective": "ce", "dataset": "cifar10"}
    assert Quote("rce_table3_whitebox", "ratio_f2_positive", ratio).text() == "0.00 (not checked)"
    says = [get_claim(claim).paper_says() for claim in ("B4a", "B4b")]
    assert says == [
        "Table 3, MNIST, distortion: CE 17.12 (not checked), RCE 31.59 (not checked)",
        "Table 3, MNIST, share with f2 > 0: CE 0.01 (checked), RCE 0.77 (checked)",
    ]
    with pytest.raises(UsageError, match=r"expected one row of rce_table1_error with .*'resnet32'.*, got 4"):
        Quote("rce_table1_error", "error_percent", {"model": "resnet32"}).text()
