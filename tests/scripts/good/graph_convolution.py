import torch

torch.manual_seed(0)
N = 40
adj = (torch.rand(N, N) < 0.1).float()
adj = ((adj + adj.T) > 0).float() + torch.eye(N)
deg = adj.sum(1)
A = adj / deg[:, None]
feats = torch.randn(N, 8)
labels = (feats[:, 0] > 0).long()

class GCN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(8, 16)))
        self.w2 = torch.nn.Parameter(torch.nn.init.xavier_uniform_(torch.empty(16, 2)))

    def forward(self, h):
        h = torch.relu(A @ h @ self.w1)
        return A @ h @ self.w2

gcn = GCN()
opt = torch.optim.Adam(gcn.parameters(), lr=0.02, weight_decay=5e-4)
for epoch in range(40):
    out = torch.log_softmax(gcn(feats), dim=1)
    loss = -out[torch.arange(N), labels][:10].mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
