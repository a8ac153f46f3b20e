"""ONNX files: what they contain, that they are safe to run, and how nlvid runs them."""
