import torch
import torch.nn as nn
criterion = nn.MSELoss()
example_output = model(data) # Reuse model call from above
