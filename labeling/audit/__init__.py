"""How good labels are where nobody has ground truth: a person looks at a random sample of them."""
