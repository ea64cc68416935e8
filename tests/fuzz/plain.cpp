// Every target on random changes of its seeds, with a fixed seed: no compiler's help is needed, and no coverage is
// followed. fuzz-plain [INPUTS [SEED]]. On an abort the input is in the file fuzz-plain.input of the current directory.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <random>
#include <string>

#include "tests/fuzz/targets.h"

namespace {

std::string current;

void keep_input(int) {
  std::ofstream("fuzz-plain.input", std::ios::binary) << current;
  std::_Exit(1);
}

void change(std::string& text, std::mt19937_64& random) {
  const std::size_t at = text.empty() ? 0 : random() % text.size();
  const std::size_t some = random() % 9;
  static const std::string pieces[] = {"\r\n", "\r\n\r\n", "\n",
                                       "\"",   "{",        "[",
                                       "]",    "}",        ":",
                                       ",",    "%2e",      "/../",
                                       "-1",   "1e999",    "99999999999999999999",
                                       "\xff", "\xc2\x9b", std::string(1, '\0'),
                                       "null", "'",        "#"};
  switch (random() % 6) {
    case 0: text.insert(at, pieces[random() % std::size(pieces)]); break;
    case 1: text.erase(at, some); break;
    case 2: text.insert(at, text.substr(text.size() / 2, some * 4)); break;
    case 3:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 4:
      if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
      break;
    default: text.resize(at);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long inputs = argc > 1 ? std::atol(argv[1]) : 3000;
  std::mt19937_64 random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  std::signal(SIGABRT, keep_input);
  std::signal(SIGSEGV, keep_input);
  for (const bakeoff::fuzz::Target& target : bakeoff::fuzz::targets()) {
    for (long i = 0; i < inputs; ++i) {
      current = target.seeds[random() % target.seeds.size()];
      for (std::size_t changes = i < static_cast<long>(target.seeds.size()) ? 0 : random() % 6; changes > 0; --changes)
        change(current, random);
      try {
        target.run(current);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: an exception that nobody expects: %s\n", target.name, error.what());
        keep_input(0);
      }
    }
    std::printf("%-12s %ld inputs: %s\n", target.name, inputs, target.what);
  }
}
