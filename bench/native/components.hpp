// What entities have in the peers that are libraries: structures, each a component.

#pragma once

#include <cstdint>
#include <vector>

struct Position {
    float x, y;
};
struct Velocity {
    float x, y;
};
struct Data {
    float value;
};
struct Health {
    float value;
};
struct Trace {
    float importance, stability;
    std::int64_t accessed;
};
struct Recollection {
    float importance, last;
    std::uint32_t count;
};
struct Strength {
    float value;
};

// Columns of floats as the components of rows.
struct Rows {
    std::vector<Position> position;
    std::vector<Velocity> velocity;

    Rows(std::int64_t n, const float *columns) : position(n), velocity(n) {
        for (std::int64_t i = 0; i < n; ++i) {
            position[i] = {columns[i], columns[n + i]};
            velocity[i] = {columns[2 * n + i], columns[3 * n + i]};
        }
    }
};
