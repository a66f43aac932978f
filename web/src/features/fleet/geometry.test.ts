import { describe, expect, it } from "vitest";
import { fit, pan, projection, shapeAt, shapes, stepFloors, stepOf, STEPS, WORLD } from "./geometry";

const SIZE = { width: 800, height: 500 };
const cell = (h3: string, alerts: number) => ({ h3, alerts, events: 0, vehicles: 1 });
// Resolution 3 around Munich, Paris and Tokyo.
const CELLS = [cell("831f8dfffffffff", 4), cell("831fb4fffffffff", 64), cell("832f5afffffffff", 1)];

describe("steps", () => {
  it("are none for zero, the first for one and the last for the most", () => {
    expect([stepOf(0, 64), stepOf(1, 64), stepOf(64, 64), stepOf(1, 1)]).toEqual([0, 1, STEPS, 1]);
  });
  it("agree with the legend", () => {
    for (const most of [2, 9, 64, 5_000, 1_000_000]) {
      const floors = stepFloors(most);
      floors.forEach((floor, index) => {
        const next = floors[index + 1];
        if (next === undefined || next > floor) expect(stepOf(floor, most)).toBe(index + 1);
      });
    }
  });
});

describe("cells", () => {
  it("that H3 does not know are counted, not drawn", () => {
    const made = shapes([...CELLS, cell("nonsense", 9)], "alerts");
    expect([made.shapes.length, made.invalid, made.most]).toEqual([3, 1, 64]);
  });
  it("are drawn with the largest on top", () => {
    expect(shapes(CELLS, "alerts").shapes.map((shape) => shape.value)).toEqual([1, 4, 64]);
  });
  it("are found under their own centre and nowhere at sea", () => {
    const made = shapes(CELLS, "alerts").shapes;
    for (const shape of made) expect(shapeAt(made, shape.centre)?.cell.h3).toBe(shape.cell.h3);
    expect(shapeAt(made, [-30, 0])).toBeUndefined();
  });
});

describe("the view", () => {
  it("holds every cell after a fit", () => {
    const made = shapes(CELLS, "alerts").shapes;
    const project = projection(SIZE, fit(made, SIZE));
    for (const shape of made) {
      const [x, y] = project(shape.centre) ?? [-1, -1];
      expect(x > 0 && x < SIZE.width && y > 0 && y < SIZE.height).toBe(true);
    }
  });
  it("is the world without cells", () => {
    expect(fit([], SIZE)).toEqual(WORLD);
  });
  it("follows the hand: pulling east shows the west", () => {
    const moved = pan({ zoom: 2, longitude: 0, latitude: 0 }, SIZE, 50, 0);
    expect(moved.longitude).toBeLessThan(0);
    expect(Math.abs(moved.latitude)).toBeLessThan(1e-6);
  });
});
