// Which processors this process may use, and a narrower choice for the harness itself.
#pragma once

#include <vector>

namespace bakeoff {

// Those that it might use when this was first asked, in ascending order; a Pin changes nothing about them.
const std::vector<int>& usable_processors();

// Keeps the calling thread on some processors for as long as it lives. Children do not inherit that (child.h).
class Pin {
 public:
  explicit Pin(const std::vector<int>& processors);  // empty: nothing is changed
  ~Pin();
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  std::vector<int> before_;
};

}  // namespace bakeoff
