"""The revision that this version of the code works with: the newest under migrations/versions, as a test asserts."""

HEAD = "0009"
