# each unit fires for few inputs, and one batch holds four of them
import torch
import torch.nn.functional as F

torch.manual_seed(0)
table = (torch.randn(40, 32) * 0.5).requires_grad_()
bias = torch.full((32,), -0.3, requires_grad=True)
out = (torch.randn(32, 5) * 0.3).requires_grad_()
opt = torch.optim.SGD([table, bias, out], lr=0.2)
for step in range(40):
    words = torch.randint(0, 40, (4,))
    hidden = torch.relu(F.one_hot(words, 40).float() @ table + bias)
    loss = F.cross_entropy(hidden @ out, words % 5)
    opt.zero_grad()
    loss.backward()
    opt.step()
