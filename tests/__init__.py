"""The promises of kavach_ipy, a test each; conftest.py knows what a machine must grant."""
