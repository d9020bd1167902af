"""Tests of one room at a time, in one process. They mirror the rooms of ltspd/, as tests/pure does."""
