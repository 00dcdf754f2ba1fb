"""What `make bench-search` compares with: the ways in which a search is usually run, one to a file.

Each is a program: it reads a search from its standard input and prints what happens, as ``protocol.py`` says.
"""
