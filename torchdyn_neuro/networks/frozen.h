// Weights are whole numbers.
#define FROZEN
