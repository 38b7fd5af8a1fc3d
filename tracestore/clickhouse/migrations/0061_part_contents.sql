-- What a part of `spans` holds, for searches that need not read it: the n-grams of four characters in its words, each as a number of
-- four bytes, and the keys of its attributes (`knows_keys`: all of them). Written by part_contents.py. `files` is the part's
-- hash_of_all_files: after a restore another part may have its name.
CREATE TABLE part_contents
(
    part String,
    files String,
    ngrams AggregateFunction(groupBitmap, UInt32),
    knows_keys Bool,
    attributes Array(String),
    resource_attributes Array(String),
    scope_attributes Array(String)
)
ENGINE = MergeTree
ORDER BY part
