# shellcheck shell=dash disable=SC2034
# With these two variables dracut checks that a module can mount the root.
root=ltspd
rootok=1
