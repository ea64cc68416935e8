// Errors of set-up. They reach main(), which prints one line and exits with the documented status.
#pragma once

#include <stdexcept>

namespace bakeoff {

// What was asked for cannot be understood or means nothing: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What was asked for is clear, yet this machine would not do it (port in use, no descriptors): exit status 4.
struct StartError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bakeoff
