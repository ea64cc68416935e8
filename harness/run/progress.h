// How far a run has come, on standard error: one line that is rewritten, with the time left, on a terminal; a plain line
// a step elsewhere, of steps that take less than a second one in a second.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace bakeoff {

// Whether standard error is a terminal, and may be coloured (NO_COLOR, TERM=dumb).
bool talks_to_terminal();
bool may_colour();

class Progress {
 public:
  // `expected_step_s`: what one step takes, until steps have been seen.
  Progress(std::size_t steps, double expected_step_s);
  ~Progress();

  void add_steps(std::size_t steps) { steps_ += steps; }  // more to do than was thought
  void begin(const std::string& what);                    // of a step: shown on a terminal only
  void end(const std::string& outcome);                   // of a step: shown elsewhere only
  void say(const std::string& line);                      // a line that stays, wherever
  void finish();                                          // nothing more is shown: others may write

 private:
  std::string time_left() const;

  std::size_t steps_;
  std::size_t done_ = 0;
  double expected_step_s_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_{};
  bool terminal_ = talks_to_terminal();
};

// "45 s", "2 min 5 s", "3 h 10 min".
std::string duration_words(double seconds);

}  // namespace bakeoff
