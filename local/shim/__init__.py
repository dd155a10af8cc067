"""Patches of the local AWS: each makes the emulator do what AWS does where our code or tests would notice."""
