// How far a run has come, on standard error. On a terminal a line with the time left and a small table are redrawn in
// place. Elsewhere each step is a plain line; of steps that take less than a second, one in a second is shown.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bakeoff {

// Whether standard error is a terminal, and may be coloured (NO_COLOR, TERM=dumb).
bool talks_to_terminal();
bool may_colour();

enum class Talk { normal, quiet };  // quiet: nothing but errors

class Progress {
 public:
  // `expected_step_s`: what one step takes, until steps have been seen.
  Progress(std::size_t steps, double expected_step_s, Talk talk = Talk::normal);
  ~Progress();

  void add_steps(std::size_t steps) { steps_ += steps; }  // more to do than was thought
  void begin(const std::string& what);                    // of a step: shown on a terminal only
  // How many lines a table may have; 0 where none is shown.
  std::size_t table_lines() const;
  void show(std::vector<std::string> table) { table_ = std::move(table); }  // below the line, from the next begin() on
  void end(const std::string& outcome);                                     // of a step: shown elsewhere only
  void say(const std::string& line);                                        // a line that stays, wherever
  void finish();                                                            // nothing more is shown: others may write

 private:
  std::string time_left() const;

  std::size_t steps_;
  std::size_t done_ = 0;
  double expected_step_s_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_{};
  std::vector<std::string> table_;
  bool terminal_;
  bool quiet_;
};

// "45 s", "2 min 5 s", "3 h 10 min".
std::string duration_words(double seconds);

// What redraws a line and the table below it, and leaves the cursor at the line's beginning. Lines are cut to `width`
// columns, between characters of UTF-8.
std::string redrawn(const std::string& line, const std::vector<std::string>& table, std::size_t width);

}  // namespace bakeoff
