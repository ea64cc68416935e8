// bakeoff-load: drives any HTTP/1.1 server and reports the results, in JSON and in a few lines.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string_view>

#include "harness/load/command_line.h"

namespace {

// MPI's library is another program's, so that this one starts as fast and costs as much as without it.
int become_rank(char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / "bakeoff-load-ranks").string();
  execv(program.c_str(), argv);
  std::cerr << "bakeoff-load: --ranks needs " << program << ": " << std::strerror(errno)
            << "; it is built where CMake finds MPI (on Debian: openmpi-bin and libopenmpi-dev)\n";
  return 4;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (argv[i] == std::string_view("--ranks")) return become_rank(argv);
  }
  return bakeoff::load_main(argc, argv, nullptr);
}
