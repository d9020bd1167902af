"""A client whose display manager logs somebody in, and nobody types a password."""

import pytest

from tests.lab.school import School, enter_again

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_a_session_begins_without_a_password(school: School) -> None:
    enter_again(
        *(school, "lightdm", "test -e /run/by-conf"),
        LIGHTDM_CONF="display-setup-script=/usr/bin/touch /run/by-conf",
    )
