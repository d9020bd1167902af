"""Tests of one room at a time, in one process: no root, no network, no other program needed."""
