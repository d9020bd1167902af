"""plasma-login-manager of Debian's unstable release logs somebody in without a password."""

from collections.abc import Iterator

import pytest

from tests.lab.school import School, enter_again, open_school

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def school() -> Iterator[School]:
    with open_school("login-server", {"plasmalogin": "next-plasma"}) as school:
        yield school


def test_somebody_is_logged_in_again_and_again(school: School) -> None:
    enter_again(school, "plasmalogin", "pgrep -u otto -x sway")
