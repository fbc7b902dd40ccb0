"""The harness of tests/interop/run: installs peers, runs cases, reads the wire."""
