import torch
x = torch.tensor(2.0, requires_grad=True) # Initial value 2.0, requires gradient
y = x ** 2 + 3 * x - 5 # Define function y = x² + 3x -5
y.backward() # Backpropagation to compute gradients for all tensors with requires_grad=True
print(x.grad) # Output: 7.0 (since dy/dx = 2x + 3, substituting x=2 gives 7)
