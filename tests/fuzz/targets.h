// What reads untrusted bytes, each as a function of bytes that aborts when a property does not hold. A fuzzer drives
// them: libFuzzer, guided by coverage, if clang is installed; plain.cpp, with random changes of the seeds, anywhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bakeoff::fuzz {

struct Target {
  const char* name;
  const char* what;
  void (*run)(std::string_view bytes);
  std::vector<std::string> seeds;  // the corpus to begin with
};

const std::vector<Target>& targets();

}  // namespace bakeoff::fuzz
