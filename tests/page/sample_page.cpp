// Prints a page of made-up trials, for the tests that open it in a browser:
//   sample-page [CELLS [NAME]]   so many cells (4), the first server called NAME
#include <cstdlib>
#include <iostream>
#include <string>

#include "results/page/page.h"
#include "tests/results/samples.h"

int main(int argc, char** argv) {
  using namespace bakeoff;
  const int cells = argc > 1 ? std::atoi(argv[1]) : 4;
  const std::string first = argc > 2 ? argv[2] : "sped";
  std::vector<Cell> planned;
  std::vector<Trial> trials;
  for (int i = 0; i < cells; ++i) {
    const std::string server = i % 2 == 0 ? first : "server-" + std::to_string(i % 20);
    planned.push_back(sample_cell(server, 16u << (i / 2 % 8), static_cast<std::uint32_t>(1 + i / 16)));
    for (std::uint32_t block = 0; block < 8; ++block)
      trials.push_back(sample_trial(planned.back(), Phase::sweep, block, 50 + block + i % 37));
  }
  PageRun run;
  run.label = run.title = "A page of made-up trials by " + first;
  run.about = "What " + first + " is worth.";
  run.result = sample_result(planned, trials);
  std::cout << to_html({run}, load_page_scripts());
}
