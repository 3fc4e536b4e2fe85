"""The demo study: procedurally drawn image questions and two small models trained on them."""
