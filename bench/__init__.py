"""The lab around the pair: nothing in it is needed to understand mlp_jax.py or
mlp_torch.py. Its rooms, each of which imports only from those before it: kit,
run, measure and proof, analyse, report, tools."""
