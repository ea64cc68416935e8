// The kinds of workload. Each reads its own keys from the workload's TOML and fills in files, classes and popularity.
#pragma once

#include "workloads/strict_toml.h"
#include "workloads/workload.h"

namespace bakeoff {

void build_specweb99(const TomlTable& table, Workload& workload);
void build_single_file(const TomlTable& table, Workload& workload);

}  // namespace bakeoff
