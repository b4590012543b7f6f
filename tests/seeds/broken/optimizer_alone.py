import torch
import torch.optim as optim
optimizer = optim.SGD(model.parameters(), lr=0.01) # Learning rate set to 0.01
optimizer.zero_grad() # Zero gradients of all variables
