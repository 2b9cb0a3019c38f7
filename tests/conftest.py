import torch

# Threads of several test processes that share the cores would wait for each other.
torch.set_num_threads(1)
