"""The config of a study: its schema, checks that end in one sentence, estimates of what it takes."""
