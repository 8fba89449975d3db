# Run by test_triton.py, each in a process of its own with Triton's settings.
collect_ignore = ["interpreted_triton.py", "compiled_triton.py", "offline_compile.py"]
