"""ATen's operators, one file a family. Each function is named after its operator and takes torch's arguments by name."""
