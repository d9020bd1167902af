"""The boot menu: which generation with which settings for whom, and the script that says so to iPXE. Pure."""
