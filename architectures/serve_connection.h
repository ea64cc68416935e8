// MT and MP: the owner of a connection serves it by blocking calls until it is closed.
#pragma once

#include "core/connection.h"
#include "core/server.h"

namespace bakeoff {

// BLOCKS: network, disk. Serves the connection until it is closed.
void serve_connection(Connection& connection, Worker& worker);

// BLOCKS: network, without a time-out. Accepts the next connection; -1 when the server drains.
int wait_for_client(Worker& worker);

// BLOCKS: network, disk. Accepts and serves one connection after the other, until the server drains.
void accept_and_serve(Worker& worker);

}  // namespace bakeoff
