import torch
x = torch.tensor([1, 2, 3])
print(x) # tensor([1, 2, 3])
zeros = torch.zeros(2, 3) # 2 rows, 3 columns, all zeros
ones = torch.ones(2, 3) # 2 rows, 3 columns, all ones
print(zeros, ones)
random = torch.randn(2, 3) # Standard normal distribution (mean 0, variance 1)
print(random)
import numpy as np
arr = np.array([[1, 2], [3, 4]])
tensor_from_np = torch.from_numpy(arr)
np_from_tensor = tensor_from_np.numpy()
x = torch.tensor([[1, 2], [3, 4]])
print(x.shape) # torch.Size([2, 2])
x_reshaped = x.view(4, 1) # Reshape to 4 rows, 1 column (-1 infers dimension)
print(x_reshaped)
a = torch.tensor([1, 2, 3])
b = torch.tensor([4, 5, 6])
print(a + b) # Element-wise addition: tensor([5, 7, 9])
print(a * b) # Element-wise multiplication: tensor([4, 10, 18])
print(torch.matmul(a, b)) # Matrix multiplication (dot product): 1*4 + 2*5 + 3*6 = 32
if torch.cuda.is_available():
    x = x.to('cuda') # Move to GPU
    y = y.to('cuda')
