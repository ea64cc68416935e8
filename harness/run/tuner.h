// Finding each server's best cell without measuring its whole matrix: a coarse matrix of connections x workers (x the size of
// a cache, or whatever else is an axis of numbers), then ever finer around every cell that cannot be told from the best.
// Pariag 2007, section 5, did it by hand.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

class Tuner {
 public:
  // `cells`: the whole matrix, of any number of servers. An option whose values are all sizes or numbers is an axis of the
  // matrix; each server is tuned on its own with each choice of what else varies.
  // `margin`: how far below the best a cell may lie and still be it, where single trials leave no interval to go by.
  // `share`: of the matrix, at most, rounded up; at least the coarse matrix is measured.
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
