// For libFuzzer: BAKEOFF_FUZZ_TARGET names the target. Called as `fuzz-guided --list` it prints the names and, with a
// directory behind it, writes the seeds there: DIR/TARGET/N.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fuzz/targets.h"

namespace {
const bakeoff::fuzz::Target* chosen = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const char* name = std::getenv("BAKEOFF_FUZZ_TARGET");
  const bool list = *argc > 1 && std::string((*argv)[1]) == "--list";
  for (const bakeoff::fuzz::Target& target : bakeoff::fuzz::targets()) {
    if (name != nullptr && std::string(name) == target.name) chosen = &target;
    if (!list) continue;
    std::printf("%s\n", target.name);
    if (*argc < 3) continue;
    const std::filesystem::path dir = std::filesystem::path((*argv)[2]) / target.name;
    std::filesystem::create_directories(dir);
    for (std::size_t i = 0; i < target.seeds.size(); ++i)
      std::ofstream(dir / std::to_string(i), std::ios::binary) << target.seeds[i];
  }
  if (list) std::exit(0);
  if (chosen != nullptr) return 0;
  std::fprintf(stderr, "fuzz-guided: BAKEOFF_FUZZ_TARGET names no target; see --list\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}
