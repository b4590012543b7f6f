"""Where gradscope meets other tools: notebooks, test runners, trainers."""
