"""What `scorewatch demo` runs besides scorewatch: the digits example, and the program that reads its results.

Nothing of the house imports what lies here: these programs load tables and models, so they run as processes of
their own. `digits/` is `examples/digits` to the byte, shipped with the package; a test compares the two.
"""
