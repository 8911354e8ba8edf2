"""The promises of kavach_ipy, one test each; see tests/conftest.py for what a machine must grant."""
