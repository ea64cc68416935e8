// Finds each server's best cell without measuring its whole matrix: first a coarse matrix of connections x workers
// (x the size of a cache, or any other axis of numbers), then finer ones around every cell that does not differ
// significantly from the best. Pariag 2007, section 5, did it by hand.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

class Tuner {
 public:
  // `cells`: the whole matrix, of any number of servers. An option whose values are all sizes or numbers is an axis of
  // the matrix; each server is tuned separately for each combination of its other options. `margin`: how far below the
  // best a cell may be and still count as best, where single trials give no interval. `share`: the most of the matrix
  // that is measured, rounded up, but at least the coarse matrix.
  Tuner(const std::vector<Cell>& cells, double margin, double share = 1.0 / 3);

  // The cells to measure next, given those measured so far (of any cell: the ranking figure, and no median where it is
  // invalid). Empty when every server's search has come to its end.
  std::vector<std::string> next(const std::map<std::string, Figure>& known);

  // What the last call of next() decided, a line a server: the path that the search took.
  const std::vector<std::string>& decisions() const { return decisions_; }

 private:
  using Place = std::vector<std::size_t>;  // by axis, the index into its values
  struct Matrix {
    std::string name;
    std::vector<std::vector<double>> axes;  // values in order
    std::map<Place, std::string> cells;
    std::size_t stride = 1;
    bool coarse = true;
  };

  std::vector<std::string> next_of(Matrix& matrix, const std::map<std::string, Figure>& known);

  std::vector<Matrix> matrices_;
  double margin_;
  double share_;
  std::vector<std::string> decisions_;
};

}  // namespace bakeoff
