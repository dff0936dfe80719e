"""Steps of small networks as vector instructions, one run a lane of a register, by LLVM."""
