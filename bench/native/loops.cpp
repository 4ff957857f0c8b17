// What a C++ programmer writes without a library: structures of vectors, and loops over them.
//
// The functions of one workload share a prefix and a pointer: NAME_new, NAME_free, and what is
// timed or read between them. `entt.cpp` and `flecs.cpp` have the same names and arguments, so that
// one piece of Python (`entries.py`) drives all three. A NAME_read hands out at most the n rows for
// which there is room, and returns how many there are.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "weakest.hpp"

using Floats = std::vector<float>;

namespace {

// A copy of one of several columns that lie one after the other.
Floats column(const float *columns, std::int64_t n, int which) {
    return {columns + which * n, columns + (which + 1) * n};
}

struct Moving {
    Floats x, y, dx, dy;
};

struct Spawning {
    std::int64_t n;
    const float *columns; // the caller's
    Moving made;
};

struct Minds {
    Floats importance, stability, strength;
    std::vector<std::int64_t> accessed;
};

struct Fading {
    Floats importance, last, strength;
    std::vector<std::uint32_t> count;
};

struct Hoard {
    std::vector<std::uint32_t> owner;
    Floats importance;
    Weakest weakest;
};

// A hash table of open addressing: pairs of nodes, and the row of the edge between them.
struct Edges {
    static constexpr std::uint64_t FREE = ~std::uint64_t{0};
    struct Place {
        std::uint64_t key;
        std::uint32_t row;
    };

    Floats weight;
    std::vector<Place> places;
    int shift;

    static std::uint64_t key_of(std::uint32_t source, std::uint32_t target) {
        return std::uint64_t{source} << 32 | target;
    }

    // Where a key is, or the free place where it would be.
    Place &find(std::uint64_t key) {
        std::size_t at = key * 0x9E3779B97F4A7C15u >> shift;
        while (places[at].key != key && places[at].key != FREE)
            at = (at + 1) & (places.size() - 1);
        return places[at];
    }
};

} // namespace

extern "C" {

// -- iter_2c: position += velocity * dt ----------------------------------------------------------

void *moving_new(std::int64_t n, const float *columns) {
    return new Moving{
        column(columns, n, 0), column(columns, n, 1), column(columns, n, 2), column(columns, n, 3)};
}

void moving_free(void *held) { delete static_cast<Moving *>(held); }

std::int64_t moving_step(void *held, float dt) {
    auto &moving = *static_cast<Moving *>(held);
    const std::size_t n = moving.x.size();
    float *__restrict x = moving.x.data(), *__restrict y = moving.y.data();
    const float *__restrict dx = moving.dx.data(), *__restrict dy = moving.dy.data();
    for (std::size_t i = 0; i < n; ++i) {
        x[i] += dx[i] * dt;
        y[i] += dy[i] * dt;
    }
    return 0;
}

std::int64_t moving_read(void *held, std::int64_t n, float *out) {
    auto &moving = *static_cast<Moving *>(held);
    const auto there = static_cast<std::int64_t>(moving.x.size());
    for (const Floats *part : {&moving.x, &moving.y, &moving.dx, &moving.dy}) {
        std::copy_n(part->begin(), std::min(n, there), out);
        out += n;
    }
    return there;
}

// -- spawn_4c: four columns appended where there is room -----------------------------------------

void *spawning_new(std::int64_t n, const float *columns) {
    auto *spawning = new Spawning{n, columns, {}};
    for (Floats *part :
         {&spawning->made.x, &spawning->made.y, &spawning->made.dx, &spawning->made.dy})
        part->assign(n, 0.0f); // takes the room and touches its pages
    return spawning;
}

void spawning_free(void *held) { delete static_cast<Spawning *>(held); }

std::int64_t spawning_clear(void *held) {
    auto &made = static_cast<Spawning *>(held)->made;
    for (Floats *part : {&made.x, &made.y, &made.dx, &made.dy})
        part->clear();
    return 0;
}

std::int64_t spawning_spawn(void *held) {
    auto &spawning = *static_cast<Spawning *>(held);
    const float *from = spawning.columns;
    for (Floats *part :
         {&spawning.made.x, &spawning.made.y, &spawning.made.dx, &spawning.made.dy}) {
        part->insert(part->end(), from, from + spawning.n);
        from += spawning.n;
    }
    return spawning.n;
}

std::int64_t spawning_read(void *held, std::int64_t n, float *out) {
    return moving_read(&static_cast<Spawning *>(held)->made, n, out);
}

// -- sweep_decay: strength = importance * 2^(-elapsed / half-life) -------------------------------

void *minds_new(
    std::int64_t n, const float *importance, const float *stability, const std::int64_t *accessed) {
    return new Minds{
        {importance, importance + n},
        {stability, stability + n},
        Floats(n),
        {accessed, accessed + n}};
}

void minds_free(void *held) { delete static_cast<Minds *>(held); }

std::int64_t minds_decay(void *held, std::int64_t now) {
    auto &minds = *static_cast<Minds *>(held);
    const std::size_t n = minds.strength.size();
    const float *__restrict importance = minds.importance.data();
    const float *__restrict stability = minds.stability.data();
    const std::int64_t *__restrict accessed = minds.accessed.data();
    float *__restrict strength = minds.strength.data();
    for (std::size_t i = 0; i < n; ++i) {
        const auto elapsed = std::max<std::int64_t>(now - accessed[i], 0);
        strength[i] =
            importance[i] * std::exp2(static_cast<float>(elapsed) * -1e-6f / stability[i]);
    }
    return 0;
}

std::int64_t minds_read(void *held, float *out) {
    auto &minds = *static_cast<Minds *>(held);
    std::copy(minds.strength.begin(), minds.strength.end(), out);
    return static_cast<std::int64_t>(minds.strength.size());
}

// -- decay_w6: what is recalled often fades slowly; how many are weak ----------------------------

void *fading_new(
    std::int64_t n, const float *importance, const float *last, const std::uint32_t *count) {
    return new Fading{
        {importance, importance + n}, {last, last + n}, Floats(n), {count, count + n}};
}

void fading_free(void *held) { delete static_cast<Fading *>(held); }

std::int64_t fading_step(void *held, float now, float tau, float threshold) {
    auto &fading = *static_cast<Fading *>(held);
    const std::size_t n = fading.strength.size();
    const float *__restrict importance = fading.importance.data();
    const float *__restrict last = fading.last.data();
    const std::uint32_t *__restrict count = fading.count.data();
    float *__restrict strength = fading.strength.data();
    std::uint32_t weak = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const float lasting = tau * (1.0f + std::log1p(static_cast<float>(count[i])));
        const float left = importance[i] * std::exp((last[i] - now) / lasting);
        strength[i] = left;
        weak += left < threshold;
    }
    return weak;
}

std::int64_t fading_read(void *held, float *out) {
    auto &fading = *static_cast<Fading *>(held);
    std::copy(fading.strength.begin(), fading.strength.end(), out);
    return static_cast<std::int64_t>(fading.strength.size());
}

// -- prune_owners: the least important memories of each owner go ---------------------------------

void *hoard_new(std::int64_t n, const std::uint32_t *owner, const float *importance) {
    return new Hoard{{owner, owner + n}, {importance, importance + n}, {}};
}

void hoard_free(void *held) { delete static_cast<Hoard *>(held); }

std::int64_t hoard_add(
    void *held, std::int64_t k, const std::uint32_t *owner, const float *importance) {
    auto &hoard = *static_cast<Hoard *>(held);
    hoard.owner.insert(hoard.owner.end(), owner, owner + k);
    hoard.importance.insert(hoard.importance.end(), importance, importance + k);
    return static_cast<std::int64_t>(hoard.owner.size());
}

std::int64_t hoard_prune(void *held, std::int64_t n_owners, std::int64_t kept) {
    auto &hoard = *static_cast<Hoard *>(held);
    const auto n = static_cast<std::uint32_t>(hoard.owner.size());
    hoard.weakest.mark(n_owners, kept, hoard.owner, hoard.importance);
    std::uint32_t stays = 0;
    for (std::uint32_t row = 0; row < n; ++row) {
        hoard.owner[stays] = hoard.owner[row];
        hoard.importance[stays] = hoard.importance[row];
        stays += !hoard.weakest.goes[row];
    }
    hoard.owner.resize(stays);
    hoard.importance.resize(stays);
    return n - stays;
}

std::int64_t hoard_read(
    void *held, std::int64_t n, std::uint32_t *owner, float *importance) {
    auto &hoard = *static_cast<Hoard *>(held);
    const auto there = static_cast<std::int64_t>(hoard.owner.size());
    std::copy_n(hoard.owner.begin(), std::min(n, there), owner);
    std::copy_n(hoard.importance.begin(), std::min(n, there), importance);
    return there;
}

// -- edges_update: all edges fade, those that were met are found and gain ------------------------

void *edges_new(
    std::int64_t n, const std::uint32_t *source, const std::uint32_t *target, const float *weight) {
    std::size_t room = 16;
    int bits = 4;
    for (; room < 2 * static_cast<std::size_t>(n); room *= 2)
        ++bits;
    auto *edges = new Edges{{weight, weight + n}, {room, {Edges::FREE, 0}}, 64 - bits};
    for (std::int64_t row = 0; row < n; ++row) {
        const auto key = Edges::key_of(source[row], target[row]);
        edges->find(key) = {key, static_cast<std::uint32_t>(row)};
    }
    return edges;
}

void edges_free(void *held) { delete static_cast<Edges *>(held); }

std::int64_t edges_renew(void *held, const float *weight) {
    auto &edges = *static_cast<Edges *>(held);
    std::copy(weight, weight + edges.weight.size(), edges.weight.begin());
    return 0;
}

std::int64_t edges_update(
    void *held, std::int64_t k, const std::uint32_t *source, const std::uint32_t *target,
    float fade, float gain) {
    auto &edges = *static_cast<Edges *>(held);
    for (float &weight : edges.weight)
        weight *= fade;
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < k; ++i) {
        const auto key = Edges::key_of(source[i], target[i]);
        const auto &place = edges.find(key);
        if (place.key == key) {
            edges.weight[place.row] += gain;
            ++found;
        }
    }
    return found;
}

std::int64_t edges_read(void *held, float *out) {
    auto &edges = *static_cast<Edges *>(held);
    std::copy(edges.weight.begin(), edges.weight.end(), out);
    return static_cast<std::int64_t>(edges.weight.size());
}

} // extern "C"
