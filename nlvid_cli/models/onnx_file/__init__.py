"""What an ONNX file must be."""
