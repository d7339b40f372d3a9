"""What surrounds the pair: the grid, the records, the statistics, the pictures.

Nothing in this folder is needed to understand mlp_jax.py or mlp_torch.py.
"""
